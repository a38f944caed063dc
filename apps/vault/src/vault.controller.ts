import {
  VaultCall,
  type AddVersionRequest,
  type ConfigurationReply,
  type CreateRequest,
  type DeleteRequest,
  type ListReply,
  type ListRequest,
  type PolicyReply,
  type PolicyRequest,
  type ReadRequest,
  type UpdateRequest,
} from '@kms/contracts';
import { Controller, Inject } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
import { ReadEntries } from './read/read-entries.ts';
import { ChangeEntry } from './write/change-entry.ts';

/** The vault's calls, but for reveals, which do not pass through Nest. Peers are authenticated by the transport, and the gateway has decided who may ask. */
@Controller()
export class VaultController {
  constructor(
    @Inject(ChangeEntry) private readonly changes: ChangeEntry,
    @Inject(ReadEntries) private readonly entries: ReadEntries,
  ) {}

  @MessagePattern(VaultCall.Policy)
  policy(request: PolicyRequest): Promise<PolicyReply> {
    return this.entries.policy(request);
  }

  @MessagePattern(VaultCall.List)
  list(request: ListRequest): Promise<ListReply> {
    return this.entries.list(request);
  }

  @MessagePattern(VaultCall.Read)
  read(request: ReadRequest): Promise<ConfigurationReply> {
    return this.entries.configuration(request);
  }

  @MessagePattern(VaultCall.Create)
  create(request: CreateRequest): Promise<ConfigurationReply> {
    return this.changes.create(request);
  }

  @MessagePattern(VaultCall.Update)
  update(request: UpdateRequest): Promise<ConfigurationReply> {
    return this.changes.update(request);
  }

  @MessagePattern(VaultCall.AddVersion)
  addVersion(request: AddVersionRequest): Promise<ConfigurationReply> {
    return this.changes.addVersion(request);
  }

  @MessagePattern(VaultCall.Delete)
  delete(request: DeleteRequest): Promise<ConfigurationReply> {
    return this.changes.delete(request);
  }
}
