// The thread of in-thread.ts. What it cannot verify ends it with an error, and is verified again by the thread that asked.
import { parentPort, workerData } from 'node:worker_threads';
import { verifyPart, type LogPart } from '@kms/evidence';
import { nodeSha256 } from '@kms/merkle';
import { openPackFolder } from './pack-folder.ts';

const { path, part } = workerData as { path: string; part: LogPart };
parentPort?.postMessage(await verifyPart(await openPackFolder(path), part, nodeSha256));
