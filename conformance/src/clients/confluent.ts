import type { ClientSource } from './client-source.js'
import { buildConfluent, confluentVersion } from './confluent-build.js'
import { driverProgram, ourNode } from './driver-program.js'

export const confluent: ClientSource = {
  name: 'confluent',
  async prepare(context) {
    return {
      name: 'confluent',
      version: `@confluentinc/kafka-javascript ${confluentVersion}`,
      ...ourNode,
      arguments: [driverProgram('confluent')],
      environment: { CONFORMANCE_CONFLUENT: await buildConfluent(context) },
      settings: [
        'its promisified interface with `transactional.id`, as its documentation says; built from source with CKJS_LINKING=dynamic',
        '`transaction.timeout.ms` 30,000 (default 60,000), except in restart',
        'a commit is tried again, up to three times, when its error says `retriable`',
        'reads with `consumer.run`, `auto.offset.reset` earliest, `enable.auto.commit` false',
      ],
      idsInTurn: 1,
      addsRecords: true,
    }
  },
}
