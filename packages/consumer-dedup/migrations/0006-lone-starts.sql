-- Which process runs an event alone. Only the end of a process counts against an event that it ran alone: who else was in
-- hand is not to blame. A start that the process itself finds again was given up in good order, and is no kill.

-- Of an attempt with `running`.
alter table inbox.attempts add column alone_in uuid;

-- suspect: somebody died with the event in hand, perhaps among others: it runs alone from now on, until a run of it ends.
-- alone_in: it does, in this process.
alter table inbox.parked
  add column suspect  boolean not null default false,
  add column alone_in uuid;

insert into inbox.migrations (number, name) values (6, 'lone-starts+');
