// Opens a new producer by itself when it was fenced, and publishes with it.
import { KafkajsDriver } from '../../dist/drivers/kafkajs-driver.js'
import { serve } from '../../dist/serve.js'

class Mutant extends KafkajsDriver {
  #options

  async open(options) {
    this.#options = options
    await super.open(options)
  }

  async produce(content) {
    try {
      await super.produce(content)
    } catch {
      await super.open(this.#options)
      await super.produce(content)
    }
  }
}

await serve(new Mutant())
