-- The app's account, by @app and the hashes in @told and @new, a line for each. MariaDB keeps the first of several passwords
-- apart from the others, and names all in the text that is an account's.
SET @account = CONCAT(QUOTE(@app), '@', QUOTE('127.0.0.1'));
SET @priv = (SELECT Priv FROM mysql.global_priv WHERE User = @app AND Host = '127.0.0.1');
SET @there = @priv IS NOT NULL;
-- Does it have one of the passwords that we have told it, or are about to?
SET @known = REPLACE(REPLACE(TRIM(BOTH '\n' FROM CONCAT(@told, '\n', @new)), '*', ''), '\n', '|');
SET @ours = @there AND @known <> '' AND @priv RLIKE @known;
-- Does it have exactly the new ones?
SET @count = 1 + LENGTH(@new) - LENGTH(REPLACE(@new, '\n', ''));
SET @right = REGEXP_REPLACE(@priv, CONCAT('"\\*(', REPLACE(REPLACE(@new, '*', ''), '\n', '|'), ')"'), '') NOT LIKE '%"*%'
    AND (LENGTH(@priv) - LENGTH(REPLACE(@priv, '"*', ''))) DIV 2 = @count;
SET @identified = CONCAT(' IDENTIFIED VIA mysql_native_password USING ''',
    REPLACE(@new, '\n', ''' OR mysql_native_password USING '''), '''');
