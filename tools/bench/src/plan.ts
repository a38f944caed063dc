/** What can be measured by itself. */
export const SECTION_NAMES = ['reveal', 'contents', 'calls', 'entries', 'records', 'ledger', 'scale'] as const;
export type Section = (typeof SECTION_NAMES)[number];

/** How much is measured. */
export interface Plan {
  sections: readonly Section[];
  /** How long a load lasts. */
  seconds: number;
  /** When all has to be over, from the start on: the loads are cut shorter where the suite took long to start. */
  deadlineSeconds: number;
  connections: readonly number[];
  /** How often the lag of the ledger is measured while nothing else runs. */
  lagProbes: number;
  /** How many entries and records there are at most. */
  entries: number;
  records: number;
  /** How many records are appended at a time to see what the tree costs. */
  appended: number;
  /** How often, with and without it by turns, so that both see the same hour. */
  appendRounds: number;
}

export const FULL: Plan = {
  sections: SECTION_NAMES,
  seconds: 10,
  deadlineSeconds: Infinity,
  connections: [1, 16, 64, 256],
  lagProbes: 100,
  entries: 100_000,
  records: 1_000_000,
  appended: 100_000,
  appendRounds: 2,
};

export const QUICK: Plan = { ...FULL, sections: ['reveal'], seconds: 4, deadlineSeconds: 50, lagProbes: 30 };
