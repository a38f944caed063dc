import { EvidenceError, verifyPack, writePack, type LogFiles, type PackReport } from '@kms/evidence';
import { createSdk, KmsError, type AuditClient } from '@kms/sdk';
import { parseCount, readText, readTrust, TRUST_HELP, TRUST_OPTIONS, type Trust } from '../auditor-files.ts';
import { CannotRunError, EXIT, parseArguments, UsageError, type Command, type Context } from '../command.ts';
import { describeReport, OWN_KEYS } from '../describe-report.ts';
import { openPackFolder } from '../verify/pack-folder.ts';
import { writeFolder } from './pack-folder-writer.ts';

const HELP = `kms-audit export --url <gateway> --out <folder> [options]

Takes an organization's log, or a part of it, as an evidence pack, and checks it before it gets its name.

  --url <gateway>             where the gateway is, such as https://kms.example.com; KMS_URL by default
  --out <folder>              the pack; nothing may be there
  --api-key-file <file>       a file with an API key that may audit:read; else it is taken from KMS_API_KEY
  --from <index>              the first record to take, from 0; records are taken by bundles of 256
  --to <index>                the first record not to take; the log's size by default
${TRUST_HELP}
Exit codes: 0 ok, 1 what the server gave is bad, 2 it could not be told. Unless it ends with 0, nothing stands at <folder>.
`;

const OPTIONS = {
  ...TRUST_OPTIONS,
  url: { type: 'string' },
  out: { type: 'string' },
  'api-key-file': { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
} as const;

interface Range {
  readonly from?: number;
  readonly to?: number;
}

/** `kms-audit export`. */
export const exportPack: Command = {
  help: HELP,
  async run(args, context) {
    const { values } = parseArguments({ args: [...args], options: OPTIONS });
    const { url = context.environment['KMS_URL'], out, from, to } = values;
    if (url === undefined) throw new UsageError('Say where the gateway is, with --url or KMS_URL.');
    if (out === undefined) throw new UsageError('Name the folder for the pack, with --out.');
    const range = {
      ...(from !== undefined && { from: parseCount('--from', from) }),
      ...(to !== undefined && { to: parseCount('--to', to) }),
    };
    const trust = await readTrust(values);
    const audit = connect(url, await readApiKey(values['api-key-file'], context), context.signal);
    try {
      const report = await writeFolder(out, (writer, folder) => fill(audit, writer, folder, range, trust, context));
      if (report.ownKeys) context.note(OWN_KEYS);
      for (const line of describeReport(report)) context.print(line);
      context.print(`written to ${out}`);
      return EXIT.ok;
    } catch (error) {
      if (error instanceof KmsError) throw cannotRun(error, context.signal);
      if (!(error instanceof EvidenceError)) throw error;
      context.print(`bad: ${error.message} (${error.code})`);
      return EXIT.bad;
    }
  },
};

async function fill(
  audit: AuditClient,
  writer: Parameters<typeof writePack>[1],
  folder: string,
  range: Range,
  trust: Trust,
  { signal }: Context,
): Promise<PackReport> {
  const progress = () => {
    if (signal.aborted) throw new CannotRunError('Interrupted: nothing was written.');
  };
  const files = await atOneCheckpoint(audit.files);
  const keys = await audit.claimedKeys();
  await writePack(files, writer, { keys, ...range, older: trust.known, progress });
  return verifyPack(await openPackFolder(folder), { ...trust, ...range, progress });
}

/** The log as it is at the newest checkpoint now, though it grows while it is read. */
async function atOneCheckpoint(files: LogFiles): Promise<LogFiles> {
  const checkpoint = await files.read('checkpoint');
  if (checkpoint === null) throw new CannotRunError('The log has no checkpoint yet: try again in some seconds.');
  return { read: async (path) => (path === 'checkpoint' ? checkpoint : files.read(path)) };
}

function connect(baseUrl: string, apiKey: string, signal: AbortSignal): AuditClient {
  try {
    return createSdk({ baseUrl, apiKey, signal, timeoutMs: 60_000 }).audit;
  } catch (error) {
    if (error instanceof KmsError) throw new CannotRunError(error.message, { cause: error });
    throw error;
  }
}

async function readApiKey(file: string | undefined, { environment }: Context): Promise<string> {
  const key = file === undefined ? environment['KMS_API_KEY'] : await readText(file, '--api-key-file');
  if (key === undefined || key.trim() === '') throw new UsageError('Give an API key, in KMS_API_KEY or with --api-key-file.');
  return key.trim();
}

function cannotRun(error: KmsError, signal: AbortSignal): CannotRunError {
  if (signal.aborted) return new CannotRunError('Interrupted: nothing was written.', { cause: error });
  const said = error.code === 'refused' ? `The service refused (${error.status}): ${error.message}.` : error.message;
  return new CannotRunError(said, { cause: error });
}
