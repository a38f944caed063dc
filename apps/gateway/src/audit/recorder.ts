import type { Id } from '@kms/contracts';
import type { Journal } from '@kms/journal';
import { gatewayEvent, type Observation, type RequestFacts } from '../domain/audit-event.ts';
import { auditUnavailable } from '../domain/http-error.ts';

/** Records what the gateway saw. Resolves only after the record is durable; else throws a 503, and the answer must not be given. */
export class Recorder {
  constructor(
    readonly journal: Pick<Journal, 'append'>,
    readonly nextId: () => Id,
  ) {}

  async record(facts: RequestFacts, observation: Observation): Promise<void> {
    try {
      await this.journal.append(gatewayEvent(this.nextId(), new Date().toISOString(), facts, observation));
    } catch (error) {
      throw auditUnavailable(error);
    }
  }
}
