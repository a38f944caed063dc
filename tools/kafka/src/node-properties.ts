/** How clients prove who they are, and to whom. */
export interface ClientSecurity {
  /** In PEM: the broker's certificate and its PKCS #8 key. */
  certificate: string;
  privateKey: string;
  /** Who may connect, by SCRAM-SHA-512. */
  username: string;
  password: string;
}

export interface NodeSettings {
  /** From 1. */
  id: number;
  /** The ports of all nodes, by their place. */
  ports: readonly NodePorts[];
  directory: string;
  security?: ClientSecurity | undefined;
}

export interface NodePorts {
  client: number;
  /** Where clients are told to connect. */
  advertised: number;
  internal: number;
  controller: number;
}

/**
 * The configuration of a node that is broker and controller at once (KRaft), on loopback only. Topics are never made by asking for them.
 * Clients have a listener of their own, so that what protects it does not have to be known between the brokers.
 */
export function nodeProperties({ id, ports, directory, security }: NodeSettings): string {
  const { client, advertised, internal, controller } = ports[id - 1] as NodePorts;
  const replicas = Math.min(3, ports.length);
  const properties: Record<string, string | number> = {
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.voters': ports.map((node, index) => `${index + 1}@127.0.0.1:${node.controller}`).join(','),
    listeners: `CLIENT://127.0.0.1:${client},INTERNAL://127.0.0.1:${internal},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${advertised},INTERNAL://127.0.0.1:${internal}`,
    'listener.security.protocol.map': `CLIENT:${security ? 'SASL_SSL' : 'PLAINTEXT'},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT`,
    'inter.broker.listener.name': 'INTERNAL',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': directory,
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': 3,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    // Short, so that a test of a killed broker does not wait long for the next leader.
    'broker.session.timeout.ms': 3_000,
    'broker.heartbeat.interval.ms': 500,
    ...(security && securityProperties(security)),
  };
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function securityProperties({ certificate, privateKey }: ClientSecurity): Record<string, string> {
  return {
    'sasl.enabled.mechanisms': 'SCRAM-SHA-512',
    'listener.name.client.scram-sha-512.sasl.jaas.config': 'org.apache.kafka.common.security.scram.ScramLoginModule required;',
    'listener.name.client.ssl.keystore.type': 'PEM',
    'listener.name.client.ssl.keystore.certificate.chain': oneLine(certificate),
    'listener.name.client.ssl.keystore.key': oneLine(privateKey),
  };
}

/** A text in a properties file: a line break is written as an escape. */
const oneLine = (text: string) => text.trim().replaceAll('\r', '').replaceAll('\n', '\\n');
