-- What stood in a point before may be the text of a characteristic, not only a number.
create table hold_any (point text primary key, before any) strict, without rowid;
insert into hold_any (point, before) select point, before from hold;
drop table hold;
alter table hold_any rename to hold;
