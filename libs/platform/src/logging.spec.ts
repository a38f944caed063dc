import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { LOG_FIELDS } from './log-fields.ts';
import { createLogger, type Logger } from './logging.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const CANARY = 'canary-in-the-log';

let lines: Record<string, unknown>[];
let logger: Logger;

beforeEach(() => {
  lines = [];
  logger = createLogger('test', { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
});

describe('a log line', () => {
  it('holds the fields on the list, and an error without what a driver hung on it', () => {
    const error = Object.assign(new Error('The query failed.', { cause: Object.assign(new Error('inner'), { detail: CANARY }) }), {
      code: '23505',
      parameters: [CANARY],
    });
    logger.error({ err: error, topic: 'kms.audit.v1', partitions: [1, 2], failures: 3 }, 'A sentence.');
    const [line] = lines;
    expect(line).toMatchObject({ name: 'test', topic: 'kms.audit.v1', partitions: [1, 2], failures: 3, msg: 'A sentence.' });
    expect(line?.['err']).toMatchObject({ type: 'Error', code: '23505', message: 'The query failed.', cause: { message: 'inner' } });
    expect(line).not.toHaveProperty('dropped');
    expect(JSON.stringify(lines)).not.toContain(CANARY);
  });

  it('holds nothing else, under whatever name, however deep, and not in the sentence', () => {
    logger.info({ content: CANARY, apiKey: CANARY, error: CANARY, [CANARY]: 1 }, 'Unknown names.');
    logger.info({ topic: { content: CANARY }, partitions: [[CANARY]], host: () => CANARY, toJSON: () => CANARY }, 'Nested.');
    logger.info({ err: { message: CANARY, content: CANARY } }, 'No error.');
    logger.info({ err: CANARY }, 'No error either.');
    logger.info('A sentence with %s and %o.', CANARY, { content: CANARY });
    logger.info({ topic: 't' }, 'A sentence with %s.', CANARY);
    logger.info({ msg: CANARY });
    logger.child({ content: CANARY, topic: { content: CANARY } }).warn('From a child.');
    logger.child({}, { serializers: { topic: () => CANARY } }).warn('From a child with serializers of its own.');
    expect(lines).toHaveLength(9);
    expect(JSON.stringify(lines)).not.toContain(CANARY);
    expect(lines[0]).toMatchObject({ dropped: 4, msg: 'Unknown names.' });
    expect(lines[1]).toMatchObject({ dropped: 4 });
  });

  it('holds no endless text', () => {
    logger.info({ host: 'x'.repeat(100_000) }, 'A sentence.');
    expect(JSON.stringify(lines).length).toBeLessThan(20_000);
  });
});

it('all fields that the code logs are on the list, and the list has no others', () => {
  const logged = loggedFields();
  const ofPino = ['name', 'pid', 'hostname'];
  expect([...logged.keys()].filter((field) => !LOG_FIELDS.has(field)).map((field) => `${field}: ${logged.get(field)}`)).toEqual([]);
  expect([...LOG_FIELDS].filter((field) => !logged.has(field) && !ofPino.includes(field))).toEqual([]);
  expect(logged.size).toBeGreaterThan(20);
}, 120_000);

/** Each field that is given to a logger somewhere, by the types of what is given, with a place where it is. */
function loggedFields(): Map<string, string> {
  const files = ['apps', 'libs'].flatMap((layer) =>
    readdirSync(join(ROOT, layer)).flatMap((project) => sourceFiles(join(ROOT, layer, project, 'src'))),
  );
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.base.json'), (file) => ts.sys.readFile(file)) as { config: object };
  const { options } = ts.parseJsonConfigFileContent({ ...config, files }, ts.sys, ROOT);
  const program = ts.createProgram(files, { ...options, noEmit: true, composite: false });
  const checker = program.getTypeChecker();
  const fields = new Map<string, string>();
  const take = (given: ts.Expression) => {
    const type = checker.getTypeAtLocation(given);
    if (type.flags & ts.TypeFlags.StringLike) return;
    const place = `${given.getSourceFile().fileName.slice(ROOT.length)} ${given.getText()}`;
    if (checker.getIndexInfosOfType(type).length > 0 || type.flags & ts.TypeFlags.Any) throw new Error(`Fields of any name: ${place}`);
    for (const { name } of checker.getPropertiesOfType(type)) fields.set(name, place);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && isLogger(node.expression) && node.arguments[0] !== undefined) take(node.arguments[0]);
    ts.forEachChild(node, visit);
  };
  for (const file of files) visit(program.getSourceFile(file) as ts.SourceFile);
  return fields;
}

/** Whether this is `logger.info`, `this.#log.warn`, `logger[level]` and the like. */
function isLogger(callee: ts.Expression): boolean {
  if (ts.isPropertyAccessExpression(callee))
    return /^(?:trace|debug|info|warn|error|fatal)$/.test(callee.name.text) && /log(?:ger)?$/i.test(callee.expression.getText());
  return ts.isElementAccessExpression(callee) && /log(?:ger)?$/i.test(callee.expression.getText());
}

function sourceFiles(folder: string): string[] {
  return (ts.sys.directoryExists(folder) ? ts.sys.readDirectory(folder, ['.ts']) : []).filter(
    (file) => !/\.(?:spec|fixture|d)\.ts$/.test(file),
  );
}
