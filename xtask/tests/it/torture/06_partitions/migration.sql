create table log (at date not null, line text) partition by range (at);
create table log_2025 partition of log for values from ('2025-01-01') to ('2026-01-01');
create table log_rest partition of log default;
create index log_at on log (at);
