// Kills the process that it is preloaded into, at one named point: between two calls that the program makes to libc or
// libpq. The programs under test know nothing of it. Built and used by oracle.py only.
//
// It also writes down, thread by thread, what the program does to names and files of a spool (NADI_KILL_TRACE=path), from
// which durability.py sees whether everything was on the disk before the next step relied on it.
//
//     LD_PRELOAD=kill_points.so NADI_KILL_POINT=shipper.proof-unlink NADI_KILL_AT=3 NADI_KILL_LOG=/path program ...
//
// The third time that the program comes by the point, the point's name is appended to the log and the process gets
// SIGKILL. With NADI_KILL_ACTION=stop it is SIGSTOP, and the process goes on once somebody continues it. Points that
// end in `-cut` close the database connection instead, and the process lives. What each point means stands in points.py.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *armed = "";
static long at = 1;
static bool stops;
static int trace = -1;
static atomic_long passed;

__attribute__((constructor)) static void arm(void) {
    const char *point = getenv("NADI_KILL_POINT"), *number = getenv("NADI_KILL_AT"), *action = getenv("NADI_KILL_ACTION");
    if (point) armed = point;
    if (number) at = atol(number);
    stops = action && strcmp(action, "stop") == 0;
    srand((unsigned)getpid());
    const char *path = getenv("NADI_KILL_TRACE");
    if (path) trace = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

#define REAL(name) ((__typeof__(&name))next(#name))
static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        dprintf(2, "kill_points: there is no %s\n", name);
        abort();
    }
    return found;
}

/// Whether this point was chosen.
static bool is_armed(const char *point) { return strcmp(armed, point) == 0; }

/// Counts a passage of the point; true at the one that was chosen.
static bool is_due(const char *point) { return is_armed(point) && atomic_fetch_add(&passed, 1) + 1 == at; }

static void note(void) {
    const char *path = getenv("NADI_KILL_LOG");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    char line[160];
    int length = snprintf(line, sizeof line, "%s %d\n", armed, (int)getpid());
    if (file < 0 || REAL(write)(file, line, (size_t)length) != length) {
        dprintf(2, "kill_points: the log %s cannot be written\n", path ? path : "(none)");
        abort();
    }
    close(file);
}

/// Returns only where the process was stopped and goes on.
static void die(void) {
    note();
    kill(getpid(), stops ? SIGSTOP : SIGKILL);
    while (!stops) pause();
}

static void pass(const char *point) {
    if (is_due(point)) die();
}

// --- files -----------------------------------------------------------------------------------------------------------

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/// The path of a descriptor, into a buffer of 4096 bytes; empty where there is none.
static const char *path_of(int file, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, 4095);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

/// Whether the descriptor is a file whose name ends so.
static bool is_file(int file, const char *end) {
    char path[4096];
    return ends_with(path_of(file, path), end);
}

static const char *last_name(const char *path) {
    const char *name = strrchr(path, '/');
    return name ? name + 1 : path;
}

/// Writes down a step: what is about to happen to names and bytes, and which fsync is over.
static void tell(const char *step, const char *path, const char *other) {
    char line[1024];
    if (trace < 0) return;
    int length = snprintf(line, sizeof line, "%d %s %s %s\n", (int)gettid(), step, last_name(path), other);
    if (REAL(write)(trace, line, (size_t)length) != length) abort();
}

ssize_t write(int file, const void *bytes, size_t count) {
    char path[4096];
    if (trace >= 0 && file > 2 && ends_with(path_of(file, path), ".open")) tell("write", path, "");
    if (is_armed("writer.torn-write") && count > 1 && is_file(file, ".open") && is_due("writer.torn-write")) {
        ssize_t part = REAL(write)(file, bytes, count - (size_t)(1 + rand() % (int)(count < 4096 ? count - 1 : 4095)));
        die();
        return part;
    }
    return REAL(write)(file, bytes, count);
}

int fsync(int file) {
    if (is_armed("writer.write-fsync") && is_file(file, ".open")) pass("writer.write-fsync");
    if (is_armed("writer.lock-fsync") && is_file(file, ".lock")) pass("writer.lock-fsync");
    int result = REAL(fsync)(file);
    if (trace >= 0 && result == 0) {
        char path[4096];
        struct stat status;
        bool is_folder = fstat(file, &status) == 0 && S_ISDIR(status.st_mode);
        tell("fsync", is_folder ? "." : path_of(file, path), "");
    }
    return result;
}

int rename(const char *from, const char *to) {
    bool seals = ends_with(from, ".open");
    if (seals) {
        pass("writer.fsync-rename");
        pass("adopt.count-rename");
    }
    tell("rename", from, last_name(to));
    int result = REAL(rename)(from, to);
    if (seals && result == 0) {
        pass("writer.rename-dirsync");
        pass("adopt.rename-dirsync");
    }
    return result;
}

int link(const char *from, const char *to) {
    bool ends = ends_with(to, "-end.jsonl");
    if (ends) pass("adopt.rename-end");
    tell("link", from, last_name(to));
    int result = REAL(link)(from, to);
    if (ends && result == 0) pass("adopt.end-dirsync");
    return result;
}

int unlink(const char *path) {
    bool is_lock = ends_with(path, ".lock"), is_segment = ends_with(path, ".jsonl");
    if (is_lock) {
        pass("writer.end-unlock");
        pass("adopt.end-unlock");
    }
    if (is_segment) pass("shipper.proof-unlink");
    tell("unlink", path, "");
    int result = REAL(unlink)(path);
    if (result == 0 && is_lock) pass("adopt.unlock-dirsync");
    if (result == 0 && is_segment) pass("shipper.unlink-dirsync");
    return result;
}

// --- requests to the store -------------------------------------------------------------------------------------------

enum request { NONE, PUT_EVENTS, PROVE, GET_OBJECT };
static struct {
    enum request kind;
    long left;  // bytes of the request that are still to be sent
} sockets[4096];

static enum request kind_of(const char *bytes, size_t count) {
    char line[2048];
    size_t length = count < sizeof line - 1 ? count : sizeof line - 1;
    memcpy(line, bytes, length);
    line[length] = 0;
    char *end = strstr(line, " HTTP/1.");
    if (!end) return NONE;
    *end = 0;
    if (strncmp(line, "PUT /", 5) == 0) return strstr(line, "/events/") ? PUT_EVENTS : NONE;
    if (strncmp(line, "HEAD /", 6) == 0) return PROVE;
    if (strncmp(line, "GET /", 5) != 0) return NONE;
    return ends_with(line, ".jsonl.zst") ? GET_OBJECT : strstr(line, "list-type=2") ? PROVE : NONE;
}

/// The request's length, from its head.
static long length_of(const char *bytes, size_t count) {
    const char *end = memmem(bytes, count, "\r\n\r\n", 4);
    if (!end) return (long)count;
    long body = 0;
    for (const char *at = bytes; at < end; at++)
        if (strncasecmp(at, "\r\nContent-Length:", 17) == 0) body = atol(at + 17);
    return end + 4 - bytes + body;
}

ssize_t send(int socket, const void *bytes, size_t count, int flags) {
    if (!*armed || socket < 0 || socket >= 4096) return REAL(send)(socket, bytes, count, flags);
    enum request kind = count > 16 ? kind_of(bytes, count) : NONE;
    if (kind != NONE) {
        sockets[socket].kind = kind;
        sockets[socket].left = length_of(bytes, count);
        if (kind == GET_OBJECT) pass("loader.claim-get");
        if (kind == PUT_EVENTS && is_due("shipper.half-put")) {
            ssize_t part = REAL(send)(socket, bytes, count - 1 - (size_t)(rand() % (int)(count / 2)), flags);
            if (part > 0) sockets[socket].left -= part;
            die();
            return part;
        }
    }
    ssize_t sent = REAL(send)(socket, bytes, count, flags);
    if (sent > 0 && sockets[socket].kind == PUT_EVENTS && sockets[socket].left > 0) {
        sockets[socket].left -= sent;
        if (sockets[socket].left <= 0) pass("shipper.put-answer");
    }
    return sent;
}

ssize_t recv(int socket, void *bytes, size_t count, int flags) {
    ssize_t got = REAL(recv)(socket, bytes, count, flags);
    if (!*armed || got <= 0 || socket < 0 || socket >= 4096) return got;
    enum request kind = sockets[socket].kind;
    sockets[socket].kind = NONE;
    if (kind == PUT_EVENTS) pass("shipper.answer-proof");
    if (kind == PROVE) pass("shipper.proof-answer");
    if (kind == GET_OBJECT) pass("loader.get-copy");
    return got;
}

// --- statements to the database --------------------------------------------------------------------------------------

typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;
PGresult *PQexec(PGconn *, const char *);
PGresult *PQexecParams(PGconn *, const char *, int, const unsigned *, const char *const *, const int *, const int *, int);
int PQputCopyEnd(PGconn *, const char *);
int PQsendQuery(PGconn *, const char *);
int PQflush(PGconn *);
int PQsocket(const PGconn *);
PGresult *PQgetResult(PGconn *);

/// What the open transaction of a connection has done; transactions are told apart by their statements.
static struct transaction {
    PGconn *connection;
    const char *kind;
} transactions[32];
static pthread_mutex_t transactions_lock = PTHREAD_MUTEX_INITIALIZER;

static struct transaction *transaction_of(PGconn *connection) {
    struct transaction *found = NULL;
    pthread_mutex_lock(&transactions_lock);
    for (int i = 0; i < 32 && !found; i++)
        if (transactions[i].connection == connection || !transactions[i].connection) found = &transactions[i];
    if (!found) found = &transactions[0];
    found->connection = connection;
    pthread_mutex_unlock(&transactions_lock);
    return found;
}

static void read_statement(struct transaction *open, const char *statement) {
    if (strcmp(statement, "BEGIN") == 0) open->kind = NULL;
    if (strstr(statement, "INSERT INTO nadi_store.segment\n")) open->kind = "loader";
    if (strstr(statement, "DELETE FROM nadi_store.outcome_hour AS h")) open->kind = "join";
    if (strstr(statement, "SELECT nadi_store.derive_request_day(")) open->kind = "rebuild";
}

/// Whether the chosen point is this one of this kind of transaction; counts as a passage.
static bool is_due_at(const char *kind, const char *place) {
    char point[64];
    snprintf(point, sizeof point, "%s.%s", kind, place);
    return is_due(point);
}

static void wait_readable(PGconn *connection) {
    struct pollfd wait = {PQsocket(connection), POLLIN, 0};
    poll(&wait, 1, 30000);
}

static void send_all(PGconn *connection, const char *statement) {
    REAL(PQsendQuery)(connection, statement);
    while (REAL(PQflush)(connection) > 0) {
        struct pollfd wait = {PQsocket(connection), POLLOUT, 0};
        poll(&wait, 1, 1000);
    }
}

/// COMMIT, perhaps never sent, never answered, or with its answer never seen.
static PGresult *commit(PGconn *connection, const char *kind) {
    if (is_due_at(kind, "copy-commit")) die();
    if (is_due_at(kind, "commit-sent")) {
        send_all(connection, "COMMIT");
        die();
        return REAL(PQgetResult)(connection);
    }
    if (is_due_at(kind, "commit-answer")) {
        send_all(connection, "COMMIT");
        wait_readable(connection);
        die();
        return REAL(PQgetResult)(connection);
    }
    bool before = is_due_at(kind, "before-commit-cut"), after = !before && is_due_at(kind, "after-commit-cut");
    if (before || after) {
        note();
        if (after) {
            char dropped[4096];
            send_all(connection, "COMMIT");
            wait_readable(connection);
            REAL(recv)(PQsocket(connection), dropped, sizeof dropped, MSG_DONTWAIT);
        }
        shutdown(PQsocket(connection), SHUT_RDWR);
        if (after) return REAL(PQgetResult)(connection);
    }
    return NULL;
}

PGresult *PQexec(PGconn *connection, const char *statement) {
    if (*armed) read_statement(transaction_of(connection), statement);
    return REAL(PQexec)(connection, statement);
}

PGresult *PQexecParams(
    PGconn *connection, const char *statement, int count, const unsigned *types, const char *const *values,
    const int *lengths, const int *formats, int resultFormat) {
    const char *kind = NULL;
    if (*armed) {
        struct transaction *open = transaction_of(connection);
        read_statement(open, statement);
        if (strcmp(statement, "COMMIT") == 0) {
            kind = open->kind;
            open->kind = NULL;
        }
    }
    if (kind) {
        PGresult *result = commit(connection, kind);
        if (result) return result;
    }
    PGresult *result =
        REAL(PQexecParams)(connection, statement, count, types, values, lengths, formats, resultFormat);
    if (kind && is_due_at(kind, "answer-cleanup")) die();
    return result;
}
