// Says that a transaction was committed, whatever became of it.
import { OursDriver } from '../../dist/drivers/ours-driver.js'
import { serve } from '../../dist/serve.js'

class Mutant extends OursDriver {
  async commit() {
    await super.commit().catch(() => undefined)
  }
}

await serve(new Mutant())
