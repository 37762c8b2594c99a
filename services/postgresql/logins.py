"""How an app of another node changes its own logins on this server: through a function of the superuser's that does nothing else."""

import cluster

# Called with what the server is to know a login by, or with nothing to end it. The first login is the app's own role; every
# other one is a role of its own, which becomes the app's as soon as it is logged in (see `provision`). What is left of a role
# that has ended goes when nothing is its own any more: a session that had given the app's role back (DISCARD ALL does) may have
# made something. The loader is there for as long as it fills a share, and keeps nothing that a dump has told it.
FUNCTION = r"""
CREATE OR REPLACE FUNCTION public.:"function"(login text, verifier text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS :'body';
REVOKE ALL ON FUNCTION public.:"function"(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.:"function"(text, text) TO :"owner";
"""
BODY = """
DECLARE
    app CONSTANT text := %(app)s;
    reader CONSTANT text := %(app)s || '.reader';
    loader CONSTANT text := %(app)s || '.loader';
    ended record;
BEGIN
    IF login NOT IN (app, loader) AND login !~ ('^' || app || '[.]r[0-9]+$') OR verifier !~ '^SCRAM-SHA-256[$]' THEN
        RAISE 'this is no login of %%', app;
    END IF;
    IF verifier IS NULL THEN
        IF EXISTS (SELECT FROM pg_authid WHERE rolname = login) THEN
            EXECUTE format('ALTER ROLE %%I NOLOGIN PASSWORD NULL', login);
            PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = login;
        END IF;
        FOR ended IN SELECT rolname FROM pg_authid
                      WHERE (rolname ~ ('^' || app || '[.]r[0-9]+$') OR rolname = loader) AND NOT rolcanlogin LOOP
            BEGIN
                EXECUTE format('DROP ROLE %%I', ended.rolname);
            EXCEPTION WHEN dependent_objects_still_exist THEN NULL;
            END;
        END LOOP;
        RETURN;
    END IF;
    IF login = loader THEN
        -- One is left where a load was killed.
        IF NOT EXISTS (SELECT FROM pg_authid WHERE rolname = loader) THEN
            EXECUTE format('CREATE ROLE %%I ROLE %%I, %%I', loader, app, app || '.owner');
        END IF;
        EXECUTE format('ALTER ROLE %%I LOGIN PASSWORD %%L', loader, verifier);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_authid WHERE rolname = login) THEN
        -- Who drops a database has to end the sessions in it.
        EXECUTE format('CREATE ROLE %%I IN ROLE %%I ROLE %%I', login, app, app || '.owner');
    END IF;
    IF NOT EXISTS (SELECT FROM pg_authid WHERE rolname = login AND rolcanlogin AND rolpassword = verifier) THEN
        EXECUTE format('ALTER ROLE %%I LOGIN PASSWORD %%L', login, verifier);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_authid WHERE rolname = reader AND rolpassword = verifier) THEN
        EXECUTE format('ALTER ROLE %%I PASSWORD %%L', reader, verifier);
    END IF;
    IF login <> app THEN
        -- What the app has set for its role holds for who logs in as that role, and becomes it: no function may say ALTER ROLE
        -- ... SET role.
        DELETE FROM pg_db_role_setting WHERE setrole = to_regrole(quote_ident(login));
        INSERT INTO pg_db_role_setting
        SELECT setdatabase, to_regrole(quote_ident(login)), setconfig
          FROM pg_db_role_setting WHERE setrole = to_regrole(quote_ident(app)) AND setdatabase <> 0
        UNION ALL
        SELECT 0, to_regrole(quote_ident(login)), coalesce(max(setconfig), '{}') || ('role=' || app)
          FROM pg_db_role_setting WHERE setrole = to_regrole(quote_ident(app)) AND setdatabase = 0;
    END IF;
END
"""


def define(app):
    """In the database that is empty but for these."""
    literal = "'" + app.replace("'", "''") + "'"
    cluster.superuser(
        FUNCTION, "cloudtool.lobby", function=name(app), body=BODY % {"app": literal}, owner=f"{app}.owner"
    )


def name(app):
    return f"{app} login"
