import { describe, expect, test } from 'vitest'
import { murmur2, partitionForKey } from './partitioner.js'

// Key bytes in hex, and what org.apache.kafka.common.utils.Utils.murmur2 of kafka-clients 4.3.1 returned for them.
const fromJava: readonly (readonly [hex: string, hash: number])[] = [
  ['', 275646681],
  ['99', 1288378381],
  ['1834', -1042682160],
  ['5a94c9', -313141582],
  ['390b7702', 612225306],
  ['09d32a595d', 99467382],
  ['41f4b3e59247', -1134459280],
  ['05194bb55dcab3', -1772457477],
  ['0016175aa147e1f3', 1440785583],
  ['e98ee81edf7fae40bf', 731806385],
  ['fced52b202e34d15e5c4', 1378837873],
  ['166fc2edcea4fb1b65e240', -435219086],
  ['e944b31d0705e6c8b71cf8bd', -254753218],
  ['fc97c696693058b22edd1479f1', 1940547272],
  ['e1c82141a6a46d99364cf461b317', -67469886],
  ['ee614cc5a74b029f8f814e38d93995', 1610420826],
  ['94aa2150847891d75da8ddddc46434af', -638076854],
  ['eb50781ae04364f9b3a3f3707eab79470b', -869331060],
  [
    '00da641a22a420ee9989ec985901e416c9c38fbf7ae22a00a4174c64b5144dc69831c2d5e9f8c7dcb1c3a276da03c5c5347dd8728b234273149eb6e9bb0ff5f4111a021c9a0168a981181c9a324f0aec09395a3213018ebde232b69b463dffe94c73ba9c9960c80b6a214cc7b067f90295b0180a98eba8fce9bf8a819b01f5529ebc20efacd4d95a6166595aac5e505cd63fcdf74452a17edaf2ce71419a6512500fcbc182e1ef30721c8d57fcee80eefd07ad4165535585b7631557828266251de9a5',
    -205114733,
  ],
  [
    '38340c697fa982fdf2e1e031eefc636a590b94b3ede70bfeb7c6e8d2988f49d867b8331c96310e56cf20194df51cd6eaec0958b9d72ecb53418e134a23dd84dc437cb251a58953f96424e7bd33a2e0636ebdbbc1d586f9d6d6c93e220a5d0110261aba5c976f7d07b2bbc679878c62d4332819cc438fd8e801b24847eafa8ebbfe41e1be58c9936f70570198736d008963a7f2f0c00be3754308a9a9492a58e7cc5791c758218f6b8a0cd56d9d78ff727bf90b64b0',
    -1602638824,
  ],
  [
    '0f7f8dc02662199f0e33af179c6689465024424cc8942db5b9cfdf14d380620108d6bbd2b548c06e738766847b0a5cf9f95908d5ef4d8c7c468cc00866e1c466630d8f49b862706883216d7aac286f32aa3655aa684e0f850780a35a9b91e79e364d03868055d669c03accc8ebbf23ff9a5b1c6efe5aeed36fe78d7e363d36f4f7df46f0f2420dd8af0ff55ca6af8911a2ce983c516a62a235ae3be7ef470cd1049bce150848321a58bc3495809acf39c16a6fb4548b627bd393a4e4f45730c3',
    -174796905,
  ],
  [
    '504b79caca281736ce98dcc79ae07e29cf1ba7340a6051cb66b0462ee4f80a716b1b9d4e95058b2b1dbb7de2f1467ff4dd4e6d675c277308d75b44e764896d8c8fddc4094ed8d8c6aa5cd164323bd3336f03b562919fee92d2262d6a87de9a8306cc38c30e18bf7ae845da7dea912cbcc8eaf24d3384cd3d536aa67a9e53906dad44802ef359452ffe9e64214b97e66900ff7058110bc8cc4ba628c7de1122937627c3ba9e8d182746b2a654addf377e8149d75ec068d84f1eecd995dd68a971e68488f0b449',
    267677116,
  ],
  ['07a89d358df9966515650a3724195b99', -260645113],
  [
    '979c2cae5d284d8cdd1ab55c7ac6224fb5ca31a4acfff8c32be111cb71e24116b72ba884c83328cd64e6f410c72a64ce63bb97a26524acfaf3a8b98faa60300c880b834fa5625bb2908d5797d3ee74dc52131517e16fc8f7b130457aebcf0f26de1f0ce4a924df583fdbba262af7034e10ba8ac80904439e8d0e5bb8',
    -574465018,
  ],
]

describe('the partition of a key', () => {
  test.each(fromJava)('has the hash that Java computes: %s', (hex, hash) => {
    expect(murmur2(Buffer.from(hex, 'hex'))).toBe(hash)
  })

  test('is never negative, and the same for a range as for its copy', () => {
    for (const [hex, hash] of fromJava) {
      const key = Buffer.from(hex, 'hex')
      const row = Buffer.concat([Buffer.from('row'), key, Buffer.from('rest')])
      const partition = partitionForKey(key, 7)
      expect(partition).toBe((hash & 0x7fffffff) % 7)
      expect(partitionForKey(row, 7, 3, 3 + key.length)).toBe(partition)
    }
  })
})
