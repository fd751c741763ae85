"""How the screen is laid out: one column of panels, two where there is room, fewer where there is little."""

CSS = """
Screen { background: #0d1117; color: #c9d1d9; }
#head { height: 1; background: #1b2535; color: #f0f6fc; text-style: bold; }
#head.-away { background: #8b3a1f; color: #ffffff; }
#panels { layout: vertical; height: 1fr; }
#work { height: 3fr; }
#past { height: 2fr; }
.-wide #panels { layout: horizontal; }
.-wide #work, .-wide #past { width: 1fr; height: 1fr; }
Panel { height: 1fr; border: none; border-top: solid #2f3a4c; border-title-color: #9fb1cc;
        background: #0d1117; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden;
        scrollbar-gutter: stable; scrollbar-color: #3b4a63; scrollbar-background: #0d1117; }
Panel:focus { border-top: solid #79b8ff; border-title-color: #f0f6fc; border-title-style: bold; }
.-short #queues, .-tiny #queues, .-tiny #past { display: none; }
.-wide Panel { border-top: solid #2f3a4c; }
.-wide Panel:focus { border-top: solid #79b8ff; }
.-wide #past { border-left: solid #2f3a4c; }
Footer { background: #1b2535; }
Sheet { align: center middle; background: #0d1117 60%; }
#sheet { width: 90%; max-width: 110; height: auto; max-height: 90%; border: round #79b8ff; background: #131b28;
         padding: 0 1; border-title-color: #f0f6fc; scrollbar-size-vertical: 1; }
#sheet Static { height: auto; }
"""
