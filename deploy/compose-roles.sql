-- The roles that migrations make may not log in until they have a password.
ALTER ROLE nadi_loader LOGIN PASSWORD 'demonstration-only';
ALTER ROLE nadi_reader LOGIN PASSWORD 'demonstration-only';
