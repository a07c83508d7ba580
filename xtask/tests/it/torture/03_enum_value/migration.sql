alter type "Status" add value 'refunded';
