import { EvidenceError, verifyPack } from '@kms/evidence';
import { parseCount, readTrust, TRUST_HELP, TRUST_OPTIONS } from '../auditor-files.ts';
import { CannotRunError, EXIT, parseArguments, UsageError, type Command, type Context, type ExitCode } from '../command.ts';
import { describeReport, OWN_KEYS } from '../describe-report.ts';
import { inThread } from './in-thread.ts';
import { openPackFolder } from './pack-folder.ts';

const HELP = `kms-audit verify <export> [options]

Checks an evidence pack: every record against the signed root, the signatures, each writer's chain, and that the log extends the checkpoints
that you kept. It needs no server, no network and no database.

${TRUST_HELP}  --from <index>              the first record that must be in the pack; 0 by default
  --to <index>                the first record that need not be in it; the log's size by default

Says "ok: N records, size, root", or names the first thing that is wrong. Exit codes: 0 ok, 1 the evidence is bad, 2 it could not be told.
`;

/** `kms-audit verify`. */
export const verify: Command = {
  help: HELP,
  async run(args, context) {
    const options = { ...TRUST_OPTIONS, from: { type: 'string' }, to: { type: 'string' } } as const;
    const { values, positionals } = parseArguments({ args: [...args], options, allowPositionals: true });
    const [path, ...more] = positionals;
    if (path === undefined || more.length > 0) throw new UsageError('Name one folder, the evidence pack.');
    const { from, to } = values;
    const range = {
      ...(from !== undefined && { from: parseCount('--from', from) }),
      ...(to !== undefined && { to: parseCount('--to', to) }),
    };
    const expectations = { ...(await readTrust(values)), ...range, elsewhere: inThread(path) };
    return report(await openPackFolder(path), expectations, context);
  },
};

async function report(files: Parameters<typeof verifyPack>[0], expectations: object, { print, note, signal }: Context): Promise<ExitCode> {
  const progress = () => {
    if (signal.aborted) throw new CannotRunError('Interrupted: nothing is known of the evidence.');
  };
  try {
    const result = await verifyPack(files, { ...expectations, progress });
    if (result.ownKeys) note(OWN_KEYS);
    for (const line of describeReport(result)) print(line);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    print(`bad: ${error.message} (${error.code})`);
    return EXIT.bad;
  }
}
