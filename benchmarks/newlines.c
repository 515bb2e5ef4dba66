/* The least that releasing commands can cost: one newline to each descriptor, in a loop.
 *
 * Arguments: descriptors. For each line on standard input it writes one newline to every descriptor and prints the
 * monotonic time right before each write, in ns. Runs under SCHED_FIFO where it may, as the simulator does. */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int
main(int argc, char** argv)
{
    struct sched_param param = {.sched_priority = 50};
    sched_setscheduler(0, SCHED_FIFO, &param);
    int count = argc - 1;
    int* descriptors = calloc(count, sizeof(int));
    int64_t* times = calloc(count, sizeof(int64_t));
    for (int i = 0; i < count; i++)
    {
        descriptors[i] = atoi(argv[i + 1]);
    }
    char line[16];
    while (fgets(line, sizeof line, stdin))
    {
        for (int i = 0; i < count; i++)
        {
            struct timespec now;
            clock_gettime(CLOCK_MONOTONIC, &now);
            times[i] = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
            if (write(descriptors[i], "\n", 1) != 1)
            {
                return 1;
            }
        }
        for (int i = 0; i < count; i++)
        {
            printf("%lld%c", (long long)times[i], i + 1 < count ? ' ' : '\n');
        }
        fflush(stdout);
    }
    return 0;
}
