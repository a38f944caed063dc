export { openOutbox, type Outbox, type OutboxSettings } from './outbox.ts';
