// Delivers every record, and takes no notice of how its transaction ended.
import { KafkajsDriver } from '../../dist/drivers/kafkajs-driver.js'
import { serve } from '../../dist/serve.js'

class Mutant extends KafkajsDriver {
  readUncommitted = true
}

await serve(new Mutant())
