// Takes a commit whose answer is missing for one that did not happen, and publishes the same records again.
import { OursDriver } from '../../dist/drivers/ours-driver.js'
import { serve } from '../../dist/serve.js'

class Mutant extends OursDriver {
  #options
  #content

  async open(options) {
    this.#options = options
    await super.open(options)
  }

  async produce(content) {
    this.#content = content
    await super.produce(content)
  }

  async commit() {
    try {
      await super.commit()
    } catch (error) {
      if (this.complaint(error).says !== 'no-answer') throw error
      await super.open(this.#options)
      await super.produce(this.#content)
      await super.commit()
    }
  }
}

await serve(new Mutant())
