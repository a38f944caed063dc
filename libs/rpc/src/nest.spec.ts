import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Module, type INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { of, type Observable } from 'rxjs';
import { ErrorsToTransport, FramesServer, RpcClient, type RpcLogger } from './index.ts';

@Controller()
class Greeter {
  @MessagePattern('greet')
  greet(@Payload() person: { name: string }): { greeting: string } {
    return { greeting: `Hello, ${person.name}` };
  }

  @MessagePattern('greet.later')
  async greetLater(person: { name: string }): Promise<string> {
    return `Hello, ${person.name}`;
  }

  @MessagePattern('greet.stream')
  greetStream(): Observable<string> {
    return of('Hello');
  }

  @MessagePattern('fail')
  fail(): never {
    throw new Error('an internal detail');
  }
}

@Module({ controllers: [Greeter] })
class GreeterModule {}

describe('the hop under Nest', () => {
  const secret = 'a secret of at least 32 characters';
  const failures: unknown[] = [];
  const logger = {
    info: () => undefined,
    warn: () => undefined,
    error: (fields: { err: unknown }) => failures.push(fields.err),
  } as unknown as RpcLogger;
  let app: INestMicroservice;
  let client: RpcClient;

  beforeEach(async () => {
    const strategy = new FramesServer({ host: '127.0.0.1', port: 0, secret, logger });
    app = await NestFactory.createMicroservice(GreeterModule, { strategy, logger: false, abortOnError: false });
    app.useGlobalFilters(new ErrorsToTransport());
    await app.listen();
    client = new RpcClient({ host: '127.0.0.1', port: strategy.port, secret, logger });
  });

  afterEach(async () => {
    await client.close();
    await app.close();
  });

  it('answers values, promises and streams of @MessagePattern handlers', async () => {
    expect(await client.call('greet', { name: 'Ada' })).toEqual({ greeting: 'Hello, Ada' });
    expect(await client.call('greet.later', { name: 'Ada' })).toBe('Hello, Ada');
    expect(await client.call('greet.stream', null)).toBe('Hello');
  });

  it('logs the error of a handler itself, and tells the caller nothing of it', async () => {
    const failure = await client.call('fail', null).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'failed' });
    expect(String(failure)).not.toContain('internal detail');
    expect(failures).toEqual([new Error('an internal detail')]);
  });
});
