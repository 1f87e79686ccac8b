// The life token. Made by whoever finds none: after a crash, or at the very first start.
export const makeLife = `insert into inbox.life default values on conflict do nothing`
