import { spawnSync } from 'node:child_process';
import { afterEach, describe, expect, it } from '@jest/globals';
import { armFailpoints, failpoint, FAILPOINTS } from './failpoints.ts';

const arm = (KMS_FAILPOINTS: string, NODE_ENV = 'test') => armFailpoints({ KMS_FAILPOINTS, NODE_ENV });

afterEach(() => armFailpoints({}));

describe('failpoints', () => {
  it('are refused in a production build, and so is a name that there is not', () => {
    expect(() => arm('relay.read', 'production')).toThrow('KMS_FAILPOINTS is set: a production build does not start with it.');
    for (const wrong of ['relay', 'relay.read@0', 'relay.read,', 'relay.read@x']) expect(() => arm(wrong)).toThrow(/there is no failpoint/);
  });

  it('do nothing where none is named', () => {
    armFailpoints({ NODE_ENV: 'production' });
    for (const name of FAILPOINTS) failpoint(name);
  });

  it('end the process at the n-th passage, and not before', () => {
    const module = new URL('../dist/failpoints.js', import.meta.url).href;
    const code = `const { armFailpoints, failpoint } = await import('${module}'); armFailpoints(process.env);
      for (let turn = 1; turn <= 5; turn += 1) { failpoint('relay.read'); process.stdout.write(String(turn)); }`;
    const env = { ...process.env, NODE_ENV: 'test', KMS_FAILPOINTS: 'relay.read@3', NODE_OPTIONS: '' };
    const { signal, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { env, encoding: 'utf8' });
    expect([signal, stdout]).toEqual(['SIGKILL', '12']);
  });
});
