export { effectsList, startConsumer, type ConsumerProcess, type ProgramSettings } from './consumer-process.js'
export { databaseModes, modesUnderTest, type ModeUnderTest } from './modes.js'
