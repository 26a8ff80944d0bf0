-- What the server is: its version, how it keeps texts, and the schema that tables are made in.
SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), current_schema()
