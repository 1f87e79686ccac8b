import type { ClientSource } from './client-source.js'
import { driverProgram, installedVersion, ourNode } from './driver-program.js'

export const ourName = 'oncebox'

export const ours: ClientSource = {
  name: ourName,
  async prepare() {
    return {
      name: ourName,
      version: `@oncebox/kafka ${await installedVersion('@oncebox/kafka')}`,
      ...ourNode,
      arguments: [driverProgram('ours')],
      settings: [
        '`openSession` with two transactional ids and a claim; `publish` with `deadlineMs` 45,000 (default: the transaction timeout)',
        'reads with `startFetching`, all defaults',
      ],
      idsInTurn: 2,
      addsRecords: false,
    }
  },
}
