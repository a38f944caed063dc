import { API_VERSION, ApiAccessPermission } from '@kms/contracts';
import { Controller, Get, Req } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { contextOf } from './authenticate/request-context.ts';

/** What a client can ask about its connection. */
@Controller(API_VERSION)
export class ConnectionController {
  @Get('ping.json')
  @RouteConfig({ permission: ApiAccessPermission.PING_READ })
  ping(@Req() request: FastifyRequest) {
    const { environment: env } = contextOf(request).principal;
    return { status: 'success', env, RRT: `${(performance.now() - request.receivedAt).toFixed(2)} ms` };
  }

  @Get('connection.json')
  @RouteConfig({ permission: ApiAccessPermission.CONNECTION_READ })
  connection(@Req() request: FastifyRequest) {
    const { principal, address, facts } = contextOf(request);
    const ips = address === null ? {} : address.family === 4 ? { ipv4: address.text } : { ipv6: address.text };
    return {
      client: { userAgent: facts.userAgent ?? '', ips },
      endpoint: { apiVersion: API_VERSION, env: principal.environment, protocol: `HTTP/${request.raw.httpVersion}` },
    };
  }
}
