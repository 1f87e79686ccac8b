// Its process ends when it commits.
import { OursDriver } from '../../dist/drivers/ours-driver.js'
import { serve } from '../../dist/serve.js'

class Mutant extends OursDriver {
  commit() {
    throw process.exit(7)
  }
}

await serve(new Mutant())
