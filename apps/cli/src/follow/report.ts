import { placeText, type Finding } from './finding.ts';
import type { FollowerSummary } from './follower.ts';
import type { LogSummary } from './signed-logs.ts';

/** What is said while following, and at its end. Each method answers a line, or null for what this form does not say. */
export interface Report {
  finding(finding: Finding): string | null;
  status(summary: FollowerSummary): string;
  log(log: LogSummary): string;
  /** `first` is the first violation that still is one. */
  end(summary: FollowerSummary, violations: number, first: Finding | null): string;
}

/** Lines for people. */
export const HUMAN_REPORT: Report = {
  finding(finding) {
    const { kind, code, message, place } = finding;
    // There is one a second for each busy organization: the status counts them.
    if (code === 'matches') return null;
    return `${kind === 'violation' ? 'VIOLATION' : 'note'} ${code}${place === undefined ? '' : ` at ${placeText(place)}`}: ${message}`;
  },
  status: describe,
  log: ({ organizationId, signed, matched, isReproduced }) =>
    `log ${organizationId}: signed up to ${signed ?? 'nothing'}, reproduced up to ${matched ?? 'nothing'}${isReproduced ? '' : ', and not behind that'}`,
  end: (summary, violations, first) =>
    first === null ? `ok: ${describe(summary)}` : `bad: ${violations} violation${violations === 1 ? '' : 's'}, the first: ${first.message}`,
};

/** One JSON object a line. */
export const JSON_REPORT: Report = {
  finding: ({ place, ...finding }) => JSON.stringify({ ...finding, ...(place && { ...place, offset: place.offset.toString() }) }),
  status: (summary) => JSON.stringify({ kind: 'status', ...summary }),
  log: (log) => JSON.stringify({ kind: 'log', ...log }),
  end: (summary, violations, first) =>
    JSON.stringify({ kind: 'end', ok: first === null, violations, first: first?.message ?? null, ...summary }),
};

function describe(summary: FollowerSummary): string {
  const { events, organizations, writers, doubles, uncomparedDoubles, gaps, oldestGapMs, checkpoints, matches } = summary;
  const parts = [
    `${count(events, 'event')} of ${count(organizations, 'organization')} by ${count(writers, 'writer')}`,
    `${count(doubles, 'double')}${uncomparedDoubles > 0 ? ` (${uncomparedDoubles} too late to compare)` : ''}`,
    gaps === 0 ? 'nothing missing' : `${count(gaps, 'number')} missing for up to ${Math.round(oldestGapMs / 1_000)} s`,
    `${count(checkpoints, 'checkpoint')}, ${matches} of them reproduced`,
  ];
  return parts.join(', ');
}

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;
