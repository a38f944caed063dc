import type { PartitionBounds } from '@kms/kafka';
import { parseArguments, UsageError } from '../command.ts';
import { parsePolicy, type PolicyOf } from '../log-policy.ts';
import type { PartitionStart } from './follower.ts';

/** Where reading begins. */
export type From = 'beginning' | 'now' | ReadonlyMap<number, bigint>;

export interface FollowArguments {
  brokers: string | undefined;
  from: From;
  isUntilEnd: boolean;
  isJson: boolean;
  /** How long what is missing may still come, in milliseconds. */
  graceMs: number;
  /** Undefined where no key is given: checkpoints are not looked at. */
  policyOf: PolicyOf | undefined;
}

const OPTIONS = {
  brokers: { type: 'string' },
  from: { type: 'string', default: 'beginning' },
  'until-end': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  grace: { type: 'string', default: '60' },
  key: { type: 'string', multiple: true },
  witness: { type: 'string', multiple: true },
} as const;

/** Reads the arguments of `follow`. Throws {@link UsageError} with one sentence about the first mistake. */
export function parseFollowArguments(args: readonly string[]): FollowArguments {
  const { values } = parseArguments({ args: [...args], options: OPTIONS, strict: true });
  return {
    brokers: values.brokers,
    from: parseFrom(values.from),
    isUntilEnd: values['until-end'],
    isJson: values.json,
    graceMs: parseGrace(values.grace),
    policyOf: parsePolicy(values.key ?? [], values.witness ?? []),
  };
}

/** `--grace`, in milliseconds. Throws {@link UsageError}. */
export function parseGrace(text: string): number {
  if (!/^[0-9]{1,6}$/.test(text)) throw new UsageError('--grace must be a number of seconds from 0 to 999999.');
  return Number(text) * 1_000;
}

/** Where reading begins in each partition. Throws {@link UsageError} for an offset that its partition does not reach. */
export function startsFrom(from: From, bounds: ReadonlyMap<number, PartitionBounds>): Map<number, PartitionStart> {
  const named: ReadonlyMap<number, bigint> = typeof from === 'string' ? new Map() : from;
  for (const [partition, offset] of named) {
    const reach = bounds.get(partition);
    if (reach === undefined) throw new UsageError(`--from names partition ${partition}, which the topic does not have.`);
    if (offset < reach.low || offset > reach.high)
      throw new UsageError(`--from names offset ${offset} in partition ${partition}, which holds ${reach.low} to ${reach.high}.`);
  }
  const starts = [...bounds].map(([partition, { low, high }]) => {
    const start = from === 'now' ? high : (named.get(partition) ?? low);
    return [partition, { start, end: high }] as const;
  });
  return new Map(starts);
}

function parseFrom(text: string): From {
  if (text === 'beginning' || text === 'now') return text;
  const offsets = text.split(',').map((part) => /^([0-9]{1,6}):([0-9]{1,18})$/.exec(part));
  if (offsets.includes(null)) throw new UsageError('--from must be beginning, now, or offsets such as 0:120,3:77 (partition:offset).');
  return new Map(offsets.map((match) => [Number(match?.[1]), BigInt(match?.[2] ?? 0)]));
}
