export {
  BlockFormatError,
  buildBlock,
  chainHash,
  GENESIS,
  HASH_BYTES,
  splitBlock,
  type Block,
  type Head,
  type PlaceEvent,
  type Placement,
  type Position,
} from './block.ts';
export { JournalError, type JournalErrorCode } from './errors.ts';
export { DEFAULT_LIMITS, Journal, type JournalLimits, type JournalOptions, type Recorded } from './journal.ts';
export {
  DEFAULT_TIMING,
  Relay,
  type ClosedWriter,
  type EventPublisher,
  type LedgerWatermarks,
  type Message,
  type OrphanedWriter,
  type RelayOptions,
  type RelayStep,
  type RelayStore,
  type RelayTiming,
  type Standing,
  type StoredBlock,
} from './relay.ts';
export { SessionLostError, type Fence, type JournalStore, type Resolution, type WriterSession } from './store.ts';
