"""Pictures for the pages: drawn beside them, one at a time, and kept."""

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from threading import Lock

from report.charts.apart import DrawingProcess
from report.charts.data import ChartData, Picture

#: pictures that are kept
KEPT = 128
#: how long a page waits for its picture
PATIENCE_SECONDS = 0.05


class Easel:
    """Has pictures drawn by another process: matplotlib takes longer for one than a page may."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pictures: OrderedDict[ChartData, Future[Picture]] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="easel")
        self._drawing = DrawingProcess()

    def picture(self, data: ChartData) -> Picture | None:
        """Return the picture of data, or None where it is still being drawn."""
        with self._lock:
            future = self._pictures.get(data)
            if future is None:
                future = self._pictures[data] = self._thread.submit(self._drawing.draw, data)
                self._forget()
            self._pictures.move_to_end(data)
        try:
            return future.result(PATIENCE_SECONDS)
        except NotYetError:
            return None
        except ChildProcessError:
            # Whoever looks again may have more luck.
            with self._lock:
                self._pictures.pop(data, None)
            raise

    def _forget(self) -> None:
        """Let go of what was not looked at for the longest time."""
        while len(self._pictures) > KEPT:
            _, future = self._pictures.popitem(last=False)
            future.cancel()
