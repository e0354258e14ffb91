"""Events of many services, as AsyncAPI, Markdown and HTML: all of it out of locks."""
