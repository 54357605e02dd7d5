/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The live trace. strace's dialect, with three things of its own: an endpoint
 * is described where it is first seen (or changed) and is #cN after that,
 * a stack is printed once and is #N after that, and a "!" in the first column
 * marks what no preloaded library can see.
 */
#include "config.h"

#include "sinks.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "decode.h"

struct text {
	struct trace_text_conf conf;
	struct trace_buf line;
	/* By endpoint id: how it was described last. */
	char **labels;
	size_t nlabels;
	/* By process id. */
	struct seen {
		bool named, ended;
	} * processes;
	size_t nprocesses;
	/* By stack id. */
	bool *stacks;
	size_t nstacks;
	pid_t pid, tid; /* of the first line … */
	bool several; /* … and whether there was another since */
};

/* "TCP:[127.0.0.1:4711->127.0.0.1:80]", as strace -yy has it. */
static void
describe(struct trace_buf *b, const struct trace_endpoint *e)
{
	static const char *const names[] = {[TRACE_UNKNOWN] = "unknown",
		[TRACE_TCP] = "TCP",
		[TRACE_LISTEN] = "TCP",
		[TRACE_UDP] = "UDP",
		[TRACE_UNIX] = "UNIX",
		[TRACE_SOCKET] = "socket",
		[TRACE_EPOLL] = "epoll",
		[TRACE_EVENTFD] = "eventfd",
		[TRACE_PIPE] = "pipe",
		[TRACE_TIMERFD] = "timerfd",
		[TRACE_SIGNALFD] = "signalfd",
		[TRACE_FILE] = "file"};

	buf_str(b, names[e->kind]);
	if (e->domain == AF_INET6 &&
		(e->kind == TRACE_TCP || e->kind == TRACE_LISTEN ||
			e->kind == TRACE_UDP))
		buf_str(b, "v6");
	if (e->kind != TRACE_LISTEN && !e->peer[0] && !e->local[0])
		return;
	buf_str(b, ":[");
	buf_plain(b, e->local);
	if (e->kind == TRACE_LISTEN)
		buf_str(b, " listening");
	else if (e->peer[0]) {
		buf_str(b, "->");
		buf_plain(b, e->peer);
	}
	buf_char(b, ']');
}

static void
put_fd(void *arg, struct trace_buf *b, const struct trace_call *c, int fd,
	uint32_t ep)
{
	const struct trace_endpoint *e = trace_endpoint_by_id(ep);
	struct trace_buf label = {0};
	struct text *t = arg;

	(void)c;
	buf_fmt(b, "%d", fd);
	if (!e)
		return;
	t->labels = xgrow(t->labels, &t->nlabels, ep, sizeof(*t->labels));
	describe(&label, e);
	if (t->labels[ep] && !strcmp(t->labels[ep], label.s)) {
		buf_fmt(b, "<#c%u>", ep);
		buf_free(&label);
		return;
	}
	buf_fmt(b, "<#c%u %s>", ep, label.s);
	free(t->labels[ep]);
	t->labels[ep] = label.s;
}

static void
put_who(struct text *t, pid_t pid, pid_t tid)
{
	if (!t->tid) {
		t->pid = pid;
		t->tid = tid;
	}
	if (pid != t->pid || tid != t->tid)
		t->several = true;
	if (!t->several)
		return;
	if (pid == tid)
		buf_fmt(&t->line, "[pid %d] ", pid);
	else
		buf_fmt(&t->line, "[pid %d tid %d] ", pid, tid);
}

static void
flush_line(struct text *t)
{
	out_buf(t->conf.out, &t->line);
	if (t->conf.live)
		out_flush(t->conf.out);
}

static void
text_process(void *arg, const struct trace_process *p)
{
	struct text *t = arg;
	struct seen *s;

	t->processes = xgrow(
		t->processes, &t->nprocesses, p->id, sizeof(*t->processes));
	s = &t->processes[p->id];
	if (!s->named) {
		s->named = true;
		put_who(t, p->pid, p->pid);
		buf_str(&t->line, "+++ ");
		buf_plain(&t->line, p->exe && p->exe[0] ? p->exe : "?");
		buf_fmt(&t->line, "%s +++\n",
			p->recorded ? "" : " (without the recorder)");
	}
	if (p->status != -1 && !s->ended) {
		s->ended = true;
		put_who(t, p->pid, p->pid);
		if (WIFSIGNALED(p->status))
			buf_fmt(&t->line, "+++ killed by SIG%s%s +++\n",
				sigabbrev_np(WTERMSIG(p->status))
					? sigabbrev_np(WTERMSIG(p->status))
					: "?",
				WCOREDUMP(p->status) ? " (core dumped)" : "");
		else
			buf_fmt(&t->line, "+++ exited with %d +++\n",
				WEXITSTATUS(p->status));
	}
	flush_line(t);
}

static void
put_stack(struct text *t, const struct trace_call *c)
{
	const struct trace_stack *s = c->stack;
	const char *const *names;
	size_t i;

	buf_fmt(&t->line, " #%u\n", s->id);
	t->stacks = xgrow(t->stacks, &t->nstacks, s->id, sizeof(*t->stacks));
	if (t->stacks[s->id])
		return;
	t->stacks[s->id] = true;
	names = trace_stack_names(c->process, s);
	for (i = 0; i < s->n; i++) {
		buf_str(&t->line, " > ");
		buf_plain(&t->line, names[i]);
		buf_char(&t->line, '\n');
	}
}

static void
text_call(void *arg, const struct trace_call *c)
{
	struct text *t = arg;

	/* Before the process's own marks, so that grep '^!' is the answer. */
	if (c->escape != TRACE_COVERED)
		buf_char(&t->line, '!');
	put_who(t, c->process->pid, c->tid);
	buf_str(&t->line, trace_call_name(c));
	trace_decode_args(&t->line, c, t->conf.data, put_fd, t);
	/* As strace writes it. */
	if (c->cut)
		buf_str(&t->line, " <unfinished ...>");
	buf_str(&t->line, " = ");
	trace_decode_ret(&t->line, c, put_fd, t);
	if (c->escape == TRACE_LIBC && c->fn && c->fn[0])
		buf_fmt(&t->line, " (inside %s)", c->fn);
	else if (c->escape != TRACE_COVERED)
		buf_fmt(&t->line, " (%s)", trace_escape_text(c->escape));
	if (c->stack)
		put_stack(t, c);
	else
		buf_char(&t->line, '\n');
	flush_line(t);
}

static void
text_tick(void *arg)
{
	struct text *t = arg;

	out_flush(t->conf.out);
}

static int
text_finish(void *arg)
{
	struct text *t = arg;
	size_t i;
	int rc;

	rc = out_close(t->conf.out);
	for (i = 0; i < t->nlabels; i++)
		free(t->labels[i]);
	free(t->labels);
	free(t->processes);
	free(t->stacks);
	buf_free(&t->line);
	free(t);
	return rc;
}

const struct trace_sink *
trace_text_sink(const struct trace_text_conf *conf)
{
	static struct trace_sink sink;
	struct text *t = xcalloc(1, sizeof(*t));

	t->conf = *conf;
	sink = (struct trace_sink){
		.name = "text",
		.arg = t,
		.process = text_process,
		.call = text_call,
		.tick = text_tick,
		.finish = text_finish,
	};
	return &sink;
}
