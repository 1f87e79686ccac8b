// Sends records again whose acknowledgement is missing, with nothing by which the broker could recognise them; and at once, so
// that there is nothing to commit or to abort.
import { Kafka, logLevel } from 'kafkajs'
import { KafkajsDriver } from '../../dist/drivers/kafkajs-driver.js'
import { serve } from '../../dist/serve.js'

class Mutant extends KafkajsDriver {
  #producer

  async open({ brokers }) {
    this.#producer = new Kafka({ brokers, logLevel: logLevel.NOTHING }).producer({ idempotent: false })
    await this.#producer.connect()
  }

  async produce({ records }) {
    for (const { topic, partition, value } of records)
      await this.#producer.send({ topic, messages: [{ partition, value }] })
  }

  async commit() {}

  async abort() {}
}

await serve(new Mutant())
