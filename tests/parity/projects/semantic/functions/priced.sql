select x * {{ factor() }}
