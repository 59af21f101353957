select {{ toolkit.label('x') }} as label, {{ toolkit.shared('y') }} as toolkit_shared, {{ extras.extras_only('z') }} as z
