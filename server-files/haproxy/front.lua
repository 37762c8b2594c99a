-- What the front does that HAProxy's own rules cannot. Nothing here is newer than the Lua 5.3 of HAProxy 2.4.

local FRONT = "/etc/cloudtool/front/"
local RETRY_AFTER = 120

local function read(path)
    local file = io.open(path, "rb")
    if not file then
        return nil
    end
    local text = file:read("a")
    file:close()
    return text
end

-- A disabled app: its own page, which the node program puts there, or the common one.
core.register_service("maintenance", "http", function(applet)
    local page = read(FRONT .. "maintenance/" .. applet:get_var("txn.app") .. ".html")
    page = page or read(FRONT .. "disabled.html") or ""
    applet:set_status(503)
    applet:add_header("Content-Type", "text/html; charset=utf-8")
    applet:add_header("Content-Length", tostring(#page))
    applet:add_header("Cache-Control", "no-store")
    applet:add_header("Retry-After", tostring(RETRY_AFTER))
    applet:start_response()
    if applet.method ~= "HEAD" then
        applet:send(page)
    end
end)

-- An app that sleeps: asks the waker for the port at which its slot listens, which takes as long as the start of the app. The
-- waker may be killed; then it is asked again.
local PATIENCE = 64

core.register_action("wake", { "http-req" }, function(txn)
    local app = txn:get_var("txn.app")
    local deadline = core.now().sec + PATIENCE
    local said
    repeat
        local waker = core.tcp()
        waker:settimeout(PATIENCE)
        if waker:connect("unix@/run/cloudtool/wake.sock") then
            waker:send(app .. "\n")
            said = waker:receive("*l")
        end
        waker:close()
        if not said then
            core.msleep(50)
        end
    until said or core.now().sec > deadline
    if said and said:match("^%d+$") then
        txn:set_var("txn.route", (txn:get_var("txn.route"):gsub("^~%d+", said)))
    else
        txn:set_var("txn.route", "!")
    end
end)

-- What this node has to say to a certificate authority; nothing for what was not asked of it.
core.register_fetches("challenge", function(txn)
    local token = txn.sf:path():match("^/%.well%-known/acme%-challenge/([%w_-]+)$")
    return token and read(FRONT .. "challenges/" .. token) or ""
end)
