import type { ClientSource } from './client-source.js'
import { driverProgram, installedVersion, ourNode } from './driver-program.js'

export const kafkajs: ClientSource = {
  name: 'kafkajs',
  async prepare() {
    return {
      name: 'kafkajs',
      version: `kafkajs ${await installedVersion('kafkajs')}`,
      ...ourNode,
      arguments: [driverProgram('kafkajs')],
      environment: { KAFKAJS_NO_PARTITIONER_WARNING: '1' },
      settings: [
        '`transactionalId`, `idempotent: true` and `maxInFlightRequests: 1`, as its documentation says',
        '`transactionTimeout` 30,000 (default 60,000)',
        'in epoch-rotation, `retry` with `initialRetryTime` 10 and 10 `retries` (defaults 300 and 5)',
        'reads with `consumer.run`, `autoCommit: false`',
      ],
      idsInTurn: 1,
      addsRecords: true,
    }
  },
}
