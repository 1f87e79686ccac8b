// Its commit never comes to an end.
import { OursDriver } from '../../dist/drivers/ours-driver.js'
import { serve } from '../../dist/serve.js'

class Mutant extends OursDriver {
  commit() {
    return new Promise(() => undefined)
  }
}

await serve(new Mutant())
