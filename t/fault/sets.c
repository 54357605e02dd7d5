/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sets PORT COUNT: makes and closes so many epoll sets, one after the other,
 * and says how much more it holds after the last than after the first tenth:
 *
 *	sets COUNT mappings N pages N
 *
 * Each 8th is waited in for an answer on a connection to the echo server at
 * PORT. In each 16th another thread sleeps while it is closed: an event comes
 * to it all the same, and under its own data. All the time one more thread
 * asks the number that the sets have, one after the other, for events, and is
 * in one set or the other whenever it is closed and made again.
 */
#include "config.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net.h"

#define CONN 0x1234567812345678u
#define BELL 0x8765432187654321u

static _Atomic int number = -1;
static _Atomic int sleeps_in = -1;
static _Atomic int over;
static sem_t go, slept;

static void
wrong(const char *what, long n)
{
	printf("%s: %ld (%s)\n", what, n, strerror(errno));
	exit(1);
}

/* The library's names of points in it (HACKING.md). */
int kmap_testpoint(const char *name, int fd);
static _Thread_local int tells;
static sem_t asleep;
static _Atomic int sleeper_id;

int
kmap_testpoint(const char *name, int fd)
{
	(void)fd;
	if (tells && strcmp(name, "sleep") == 0) {
		tells = 0;
		sem_post(&asleep);
	}
	return 0;
}

/* It is past that point, and not running: the kernel has it. */
static void
until_it_sleeps(void)
{
	char path[64], stat[512], state = 0;
	int fd;

	/* Without stdio: under AddressSanitizer what it frees is memory, too. */
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
		atomic_load(&sleeper_id));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 100000 && state != 'S'; i++) {
		ssize_t n = pread(fd, stat, sizeof(stat) - 1, 0);
		char *p;

		if (n < 0)
			wrong(path, fd);
		stat[n] = 0;
		p = strrchr(stat, ')');
		state = p == NULL || p[1] == 0 ? 0 : p[2];
		if (state != 'S')
			usleep(100);
	}
	close(fd);
}

static void *
sleeper(void *arg)
{
	(void)arg;
	atomic_store(&sleeper_id, gettid());
	for (;;) {
		struct epoll_event ev = {0};
		int n;

		sem_wait(&go);
		if (atomic_load(&over))
			return NULL;
		tells = 1;
		n = epoll_wait(atomic_load(&sleeps_in), &ev, 1, 60000);
		if (n != 1 || ev.data.u64 != BELL)
			wrong("the sleeper got", n);
		sem_post(&slept);
	}
}

static void *
asker(void *arg)
{
	struct epoll_event ev[4];

	(void)arg;
	while (!atomic_load(&over)) {
		int n = epoll_wait(atomic_load(&number), ev, 4, 0);

		if (n < 0 && errno != EBADF && errno != EINVAL)
			wrong("the asker", n);
		usleep(50);
	}
	return NULL;
}

static void
add(int ep, int fd, uint64_t data)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = data};

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) != 0)
		wrong("epoll_ctl", fd);
}

static void
exchange(int ep, int c)
{
	struct epoll_event ev = {0};
	char buf[8] = "hello!!";
	ssize_t n;

	if (send(c, buf, 8, 0) != 8)
		wrong("send", c);
	if (epoll_wait(ep, &ev, 1, 60000) != 1 || ev.data.u64 != CONN)
		wrong("epoll_wait", (long)ev.data.u64);
	for (size_t have = 0; have < 8; have += (size_t)n)
		if ((n = recv(c, buf, 8 - have, 0)) <= 0)
			wrong("recv", n);
}

static void
holdings(long *maps, long *pages)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int c;

	for (*maps = 0; f != NULL && (c = getc(f)) != EOF;)
		*maps += c == '\n';
	if (f == NULL || fclose(f) != 0)
		wrong("maps", 0);
	f = fopen("/proc/self/statm", "r");
	if (f == NULL || fscanf(f, "%*d %ld", pages) != 1)
		wrong("statm", 0);
	fclose(f);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in a = address(argc > 2 ? atoi(argv[1]) : 0);
	long count = argc > 2 ? atol(argv[2]) : 0, m0 = 0, p0 = 0, m1, p1;
	int c = socket(AF_INET, SOCK_STREAM, 0), bell = eventfd(0, 0);
	pthread_t t[2];
	uint64_t one = 1;

	sem_init(&go, 0, 0);
	sem_init(&slept, 0, 0);
	sem_init(&asleep, 0, 0);
	if (connect(c, (void *)&a, sizeof(a)) != 0)
		die("connect");
	if (pthread_create(&t[0], NULL, sleeper, NULL) != 0 ||
		pthread_create(&t[1], NULL, asker, NULL) != 0)
		die("pthread_create");
	for (long i = 0; i < count; i++) {
		int ep = epoll_create1(EPOLL_CLOEXEC);

		if (ep < 0)
			die("epoll_create1");
		atomic_store(&number, ep);
		if (i % 8 == 0) {
			add(ep, c, CONN);
			exchange(ep, c);
		}
		if (i % 16 != 1) {
			close(ep);
		} else {
			add(ep, bell, BELL);
			atomic_store(&sleeps_in, ep);
			sem_post(&go);
			/* Without the library nobody says that it sleeps. */
			if (getenv("LD_PRELOAD") != NULL) {
				sem_wait(&asleep);
				until_it_sleeps();
			}
			usleep(200);
			close(ep);
			write(bell, &one, sizeof(one));
			sem_wait(&slept);
			read(bell, &one, sizeof(one));
		}
		if (i == count / 10)
			holdings(&m0, &p0);
	}
	holdings(&m1, &p1);
	atomic_store(&over, 1);
	sem_post(&go);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	printf("sets %ld mappings %ld pages %ld\n", count, m1 - m0, p1 - p0);
	return 0;
}
