/* work.c - something to step through. */
#include "subject.h"

static int inner(int n)
{
    int result = 0;

    for (int i = 0; i < 3; i++)
        result += n * i;
    return result;
}

int work(int n)
{
    int sum = inner(n);

    sum += read_only;
    return sum;
}

double weigh(const struct point *point)
{
    double x = point->x, y = point->y;

    return (x * x + y * y) * point->weight;
}
