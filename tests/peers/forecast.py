"""CPU time of Prophet and of statsforecast's MSTL for one series, for `./dev bench forecast`.

usage: forecast.py SERIES.csv HORIZON SEASON[,SEASON] RUNS    (one value per line, hourly)
Prints one line per peer: its name and version, and the mean milliseconds of CPU (children included) of a fit with a forecast and its 80 and 95 %
intervals. One thread each; the first run, which compiles and loads, is not counted. Default settings, seasons given, as in shared/data.
"""

import logging
import resource
import sys
from importlib.metadata import version

logging.disable(logging.WARNING)


def cpu_ms():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return 1e3 * sum(used.ru_utime + used.ru_stime for used in both)


def measure(name, runs, run):
    run()
    start = cpu_ms()
    for _ in range(runs):
        run()
    print(f"{name} {version(name)} {(cpu_ms() - start) / runs:.3f}", flush=True)


def main():
    path, horizon, seasons, runs = sys.argv[1], int(sys.argv[2]), [int(s) for s in sys.argv[3].split(",")], int(sys.argv[4])
    import numpy
    import pandas

    values = numpy.loadtxt(path)
    at = pandas.date_range("2024-01-01", periods=len(values), freq="h")

    from prophet import Prophet

    def prophet():
        model = Prophet(daily_seasonality=24 in seasons, weekly_seasonality=168 in seasons, yearly_seasonality=False)
        model.fit(pandas.DataFrame({"ds": at, "y": values}))
        model.predict(model.make_future_dataframe(horizon, freq="h", include_history=False))

    from statsforecast.models import MSTL

    def mstl():
        MSTL(season_length=seasons).forecast(y=values, h=horizon, level=[80, 95])

    measure("prophet", runs, prophet)
    measure("statsforecast", runs, mstl)


if __name__ == "__main__":
    main()
