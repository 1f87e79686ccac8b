import { newerNode } from '@internal/stack'
import { execFileSync } from 'node:child_process'
import { ClientMissing, type ClientSource } from './client-source.js'
import { driverProgram, installedVersion } from './driver-program.js'

export const platformatic: ClientSource = {
  name: 'platformatic',
  async prepare({ signal }) {
    const program = await newerNode(signal).catch((cause: unknown) => {
      signal.throwIfAborted()
      throw new ClientMissing('no Node that it runs on can be had', { cause })
    })
    return {
      name: 'platformatic',
      version: `@platformatic/kafka ${await installedVersion('@platformatic/kafka')}`,
      nodeVersion: execFileSync(program, ['--version'], { encoding: 'utf8' }).trim(),
      program,
      arguments: [driverProgram('platformatic')],
      settings: [
        '`transactionalId` and `idempotent: true`, as its documentation says',
        '`producerId` -1 and `producerEpoch` -1 (default 0 and 0), except in restart',
        '`timeout` 30,000 (default 5,000): it is the transaction timeout, too; not in restart',
        'in epoch-rotation, `retryDelay` 10 (default 1,000)',
        'reads with `consume`, mode earliest, READ_COMMITTED, `autocommit: false`',
      ],
      idsInTurn: 1,
      addsRecords: true,
    }
  },
}
