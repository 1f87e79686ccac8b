import { serve } from '../serve.js'
import { OursDriver } from './ours-driver.js'

await serve(new OursDriver())
